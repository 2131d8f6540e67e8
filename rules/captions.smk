# Captions, categories and labels of outputs in Snakemake's own report (`snakemake --report`)


def shown(path, caption, category, subcategory="", **labels):
    """Return an output, annotated with its caption and its place in the report."""
    file = f"../reports/captions/{caption}.rst"
    return report(path, caption=file, category=category, subcategory=subcategory or None, labels=labels)


def place(name):
    """Return the report's subcategory for a table or a figure."""
    return DRAWN[name].place if name in DRAWN else "Certificates"


def table(name):
    """Return a table of the report, as CSV."""
    return shown(f"{TABLES}/{name}.csv", name, "Tables", place(name), table=name.replace("_", " "), format="CSV")


def latex(name):
    """Return a table of the report, as LaTeX."""
    return shown(f"{TABLES}/{name}.tex", "latex", "Paper", "Tables", table=name.replace("_", " "), format="LaTeX")


def picture(name):
    """Return a figure that only the page shows, as SVG and PNG."""
    title = name.replace("_", " ")
    svg = shown(f"{FIGURES}/{name}.svg", name, "Figures", place(name), figure=title, format="SVG")
    return [svg, f"{FIGURES}/{name}.png"]


def figure(name):
    """Return a figure of the report: for the page (SVG), for slides (PNG) and for one column of a paper (PDF)."""
    pdf = shown(f"{FIGURES}/{name}.pdf", name, "Paper", "Figures", figure=name.replace("_", " "), format="PDF")
    return [*picture(name), pdf]


def data_figure(file, title):
    """Return a figure that shows a data set."""
    name, suffix = file.split(".")
    path = f"{FIGURES}/data_{{dataset}}_{file}"
    return shown(path, f"data_{name}", "Data", "{dataset}", figure=title, format=suffix.upper())


def whole_page(path, title, caption):
    """Return an HTML page of the report, which a browser can open without a server."""
    return shown(path, caption, "Report", page=title, format="HTML")
