"""The roof: the only place that knows every room, and wires adapters into steps."""
