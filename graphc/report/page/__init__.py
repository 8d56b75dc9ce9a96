"""One self-contained page about a model: facts ─JSON→ page.js, with page.css and page.html around them."""
