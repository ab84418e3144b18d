"""Bytes -> durable output."""
