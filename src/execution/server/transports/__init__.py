"""Ways for a call to arrive; the servicers know none of them."""
