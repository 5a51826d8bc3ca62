"""Tests of searches on a hot standby: two real servers with streaming replication."""
