"""Commands that bring a site up: meter, radio, slaves."""
