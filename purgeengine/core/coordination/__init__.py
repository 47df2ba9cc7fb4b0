"""How several processes share one purge: who may send, how much of the app's rate each may use, and what they tell each other."""
