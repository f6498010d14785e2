"""How strongly each layer is pruned: sensitivities, and budgets shared out by them."""
