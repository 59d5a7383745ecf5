"""LongBench, LongBench-E (arXiv 2308.14508) and LongBench v2 (arXiv 2412.15204), scored as their authors score them."""
