"""The demo: the whole service with a market and traders, to watch."""
