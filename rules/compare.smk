# in:  for each run: results/<run>/certificates.parquet, headers of votes, run record of reports/<run>/index.html
# out: reports/<run>+<run>.../index.html, tables/compare.csv    `snakemake compare --config 'compare=[RUN,RUN]'`


rule compare:  # this rule has no inputs, so that comparing runs never reruns their jobs
    localrule: True
    conda:
        software("report")
    params:
        runs=CONFIG.compare,
    script:
        "../scripts/compare.py"
