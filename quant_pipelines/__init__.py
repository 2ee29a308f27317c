"""quant_pipelines: market prices in, governed trading models out."""
