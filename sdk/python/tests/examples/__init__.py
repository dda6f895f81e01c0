"""Tests of the examples: without a model, and without a framework's network."""
