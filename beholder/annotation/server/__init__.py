"""A local Label Studio, and the guarded connection to this or any other one."""
