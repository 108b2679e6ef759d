"""Jobs: accepted, scored next to the service, fetched later."""
