# in:  results/<run>/certificates.parquet, heads of results/<run>/votes/, the record of reports/<run>/index.html; of each run
# out: reports/<run>+<run>.../index.html, tables/compare.csv    `snakemake compare --config 'compare=[RUN,RUN]'`


rule compare:  # what is there: it has no inputs, so that comparing runs never makes anything of them again
    localrule: True
    conda:
        software("report")
    params:
        runs=CONFIG.compare,
    script:
        "../scripts/compare.py"
