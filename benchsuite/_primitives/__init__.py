"""The workloads of the benchmark `primitives`; `python -m _primitives LIBRARY WORKLOAD`."""
