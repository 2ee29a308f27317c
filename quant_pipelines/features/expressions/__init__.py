"""Features written as formulas, like `Mean($close, 5) / $close`: read, checked for look-ahead, computed by kernels."""
