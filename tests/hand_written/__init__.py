"""Tests of hand-written routes: policies, requests and responses."""
