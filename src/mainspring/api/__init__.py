"""The record over loopback HTTP: reads for people's other tools."""
