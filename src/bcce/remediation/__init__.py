"""The product's story: from an alert to a verified fix. The only package that ties the domains together."""
