"""The demonstration: a real service, really broken, a monitor that notices, and BCCE from its webhook to the verified fix."""
