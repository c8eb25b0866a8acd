"""Where runs are executed: each in a process of its own, or, for a debugger, in this one."""
