#!/usr/bin/python3
"""Starts and stops the secured broker that the tests of a ctest run share: secured_broker.py start|stop DIRECTORY."""

import sys

import ms_secured

if __name__ == "__main__":
    {"start": ms_secured.start, "stop": ms_secured.stop}[sys.argv[1]](sys.argv[2])
