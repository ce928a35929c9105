// The checker of accessibility, as text to be put into a page, and what is asked of it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** The program. */
export const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** The rules: WCAG 2.2 AA, and good practice. */
export const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** What axe has against the page, light and dark. */
export async function complaints(page) {
  await page.evaluate(axe);
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate((runOnly) => axe.run({ resultTypes: ["violations"], runOnly }), TAGS);
    for (const { id, nodes } of violations) found.push(`${colorScheme}: ${id}: ${nodes.map(({ html, failureSummary }) => html + failureSummary).join(" ")}`);
  }
  return found;
}
