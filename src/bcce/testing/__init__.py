"""What tests are given instead of the real world, shipped so that plugin authors can use it too.

Import from the module that holds the fake: `from bcce.testing.clock import FrozenClock`. Nothing here patches anything; every fake is
passed to a constructor.
"""
