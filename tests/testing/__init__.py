"""Tests of `rowhouse.testing`: the plugin, the factory and the contract suite, over the clinic."""
