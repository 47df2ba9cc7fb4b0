"""The simulated tenant behind ``$batch``: pure, with the time as an argument."""
