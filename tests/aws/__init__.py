"""A pretended AWS for tests: moto behind a layer that keeps EC2's documented rules where moto is more lenient."""
