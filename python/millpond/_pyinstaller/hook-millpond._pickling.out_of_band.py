"""An array is of a class that the program has imported: what it has not imported is left out."""

excludedimports = ["numpy", "pyarrow"]
