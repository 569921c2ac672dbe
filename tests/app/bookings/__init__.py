"""Tests of the charging network: who books and changes which booking, where and when."""
