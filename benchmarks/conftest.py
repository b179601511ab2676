"""The benchmarks import one another by bare name, as the scripts here do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
