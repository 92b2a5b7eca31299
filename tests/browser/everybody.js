// What a page has wrong for people who see little or use no mouse; test_for_everybody.py calls these.
window.everybody = {
    // findings of axe, as sentences; `notOurs` are pairs of a rule and a selector
    async audit(notOurs) {
        const found = [];
        const { violations } = await axe.run(document, { resultTypes: ["violations"] });
        for (const { id, impact, nodes } of violations) {
            if (!["serious", "critical"].includes(impact)) continue;
            for (const { target, html, any, all, none } of nodes) {
                const element = document.querySelector(target[0]);
                if (notOurs.some(([rule, selector]) => rule === id && element.closest(selector))) continue;
                const why = [...any, ...all, ...none].map((check) => check.message)[0] ?? "";
                found.push(`${impact} ${id}: ${html.slice(0, 150)} (${why})`);
            }
        }
        return found;
    },

    // levels of the headings that can be seen, in order
    headings() {
        const all = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")];
        return all.filter((heading) => heading.checkVisibility()).map((heading) => Number(heading.tagName[1]));
    },

    // what has the focus, and whether it can be seen: it, or what is close around it, has a ring
    async focus() {
        const frame = () => new Promise(requestAnimationFrame);
        const ringed = (element) => {
            const { outlineStyle, outlineWidth } = getComputedStyle(element);
            return outlineStyle === "solid" && parseFloat(outlineWidth) >= 2;
        };
        const focused = document.activeElement;
        const around = [focused];
        while (around.length < 5 && around.at(-1).parentElement) around.push(around.at(-1).parentElement);
        for (let waited = 0; waited < 60 && !around.some(ringed); waited++) await frame();
        const isWhole = ["BODY", "MAIN"].includes(focused.tagName);
        // a table draws the ring of the cell that has the focus on its canvas, where no style says so
        const isDrawn = focused.matches('canvas [role="gridcell"]');
        return { html: focused.outerHTML.slice(0, 150), isWhole, seen: isWhole || isDrawn || around.some(ringed) };
    },
};
