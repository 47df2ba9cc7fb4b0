"""Permanently delete Outlook contacts in bulk through Microsoft Graph, with a record that survives anything.

What is deleted cannot be brought back by the user; start with ``purgeengine plan`` and ``purgeengine demo``.
To learn the program read ``core/model.py``, ``core/messages.py``, ``core/scheduling/scheduler.py`` and ``engine/loop.py``.
"""

__version__ = "0.1.0"
