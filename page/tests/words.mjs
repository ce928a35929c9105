// Holds the page's script to the table that its Rust half is held to: node --test page/tests/words.mjs
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const vectors = JSON.parse(read("./words.json"));
const speech = new Function(`${read("../assets/words.js")}; return speech;`)();
const said = (tag) => speech(tag, JSON.parse(read(`../words/${tag}.json`)).live);

for (const name of ["about", "range", "clock", "grouped"]) {
  test(`the script says "${name}" as the server does`, () => {
    for (const { of, said: texts } of vectors[name]) {
      for (const [tag, text] of Object.entries(texts)) assert.equal(said(tag)[name](...of), text, `${tag} ${of}`);
    }
  });
}

test("the script chooses the size of a number as the server does", () => {
  for (const [text, size] of vectors.size) assert.equal(said("en").size(text), size, text);
});

test("browsers choose the plural forms that the server does", () => {
  for (const { language, forms } of Object.values(vectors.plural)) {
    const plural = new Intl.PluralRules(language);
    for (const [n, form] of Object.entries(forms)) assert.equal(plural.select(Number(n)), form, `${language} ${n}`);
  }
});
