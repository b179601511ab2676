"""What `serve` brings along when it is given nothing: Redis and a market."""
