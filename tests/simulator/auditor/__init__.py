"""What every customer should have been asked for, worked out from the script alone; it shares no code with the engine."""
