"""Tests of exports and imports: streams, files, worker groups and failures on either side."""
