"""Serving: trained bundles behind HTTP, and a page for a person who has a picture."""
