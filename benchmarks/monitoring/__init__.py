"""How often the verdict is right: false alarms, power, speed; fixed seeds, named repetitions."""
