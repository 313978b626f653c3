"""For the tests of the plugin itself: an inner pytest."""

pytest_plugins = ["pytester"]
