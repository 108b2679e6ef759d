"""Tests of the frame, the style and the rendering of HTML pages."""
