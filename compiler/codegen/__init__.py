"""From schedules to instructions, with the tokens that make them safe."""
