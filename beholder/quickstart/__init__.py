"""The whole loop on built-in data, offline: pictures, simulated judgements, a reward, a report."""
