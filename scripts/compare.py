from segcert.compare.page import write_comparison
from segcert.compare.runs import CompareError

try:
    print(f"Comparison page: {write_comparison(snakemake.params.runs)}")
except CompareError as error:
    raise SystemExit(f"segcert: {error}") from None
