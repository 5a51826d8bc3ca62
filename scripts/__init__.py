"""Commands of the Makefile for installation, lock files and the supply chain."""
