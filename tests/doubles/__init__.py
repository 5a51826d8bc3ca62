"""Servers on loopback that speak the wire format of the services Parley talks to."""
