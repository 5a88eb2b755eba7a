from synthworth.job import commit, job

with job(snakemake) as spec:
    from synthworth.report import write_report

    write_report(
        html=snakemake.output.html,
        verdict=snakemake.input.verdict or None,
        tests=snakemake.input.tests or None,
        tables=snakemake.input.tables,
        figures=snakemake.input.figures,
        duplicates=snakemake.input.duplicates or None,
        detection=snakemake.input.detection or None,
        copies=snakemake.input.copies or None,
        audits=snakemake.input.audits or None,
        reports=snakemake.input.reports,
        kits=snakemake.input.kits,
        commit=commit(),
        **spec,
    )
