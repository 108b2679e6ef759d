"""Tests of replays: logged traffic through another version."""
