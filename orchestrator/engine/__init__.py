"""What orders the steps: intend, act, record, publish; and the walk back."""
