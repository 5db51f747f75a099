// What Vercel's AI SDK makes of a server's answers, as JSON: `ai_sdk.mjs MODE URL MODEL`.
// MODE is `unchanged` or `stopped`, as in the other clients.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai";
import assert from "node:assert/strict";
import { z } from "zod";

const [mode, url, model] = process.argv.slice(2);
const apiKey = process.env.OPENAI_API_KEY;
const question = "How should I treat my neighbour? Answer in two sentences.";
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const compatible = createOpenAICompatible({
  name: "guarded",
  baseURL: `${url}/v1`,
  apiKey,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
const models = {
  chat: openai.chat(model),
  response: openai.responses(model),
  compatible: compatible(model),
  message: anthropic(model),
};
const fixed = { temperature: 0, maxOutputTokens: 24, maxRetries: 0 };
const calls = { ...fixed, maxOutputTokens: 120 };
const weather = tool({
  description: "Tells the weather",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `Sunny in ${city}.`,
});
const advice = z.object({ tone: z.enum(["kind", "unkind"]) });

const cases = {};
for (const [name, model] of Object.entries(models)) {
  const asking = { model, ...fixed, instructions: "Be kind.", prompt: question };
  cases[name] = async () => {
    const whole = await generateText(asking);
    assert.ok(whole.text.length > 0 && whole.usage.outputTokens > 0);
    const stream = streamText({ ...asking, onError: () => {} });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    assert.equal(text, whole.text);
    assert.equal((await stream.usage).totalTokens, whole.usage.totalTokens);
    assert.equal(await stream.finishReason, whole.finishReason);
    return [text, whole.finishReason, whole.usage.totalTokens];
  };
  cases[`${name}, call and result`] = async () => {
    const forced = { tools: { weather }, toolChoice: "required", stopWhen: isStepCount(1) };
    const asked = await generateText({ model, ...calls, prompt: question, ...forced });
    const messages = [{ role: "user", content: question }, ...asked.responseMessages];
    const answer = await generateText({ model, ...fixed, messages, tools: { weather } });
    return [asked.toolCalls.map((call) => [call.toolName, call.input]), answer.text];
  };
  cases[`${name}, object`] = async () => {
    const output = Output.object({ schema: advice });
    const made = await generateText({ model, ...calls, prompt: question, output });
    return made.output;
  };
  cases[`${name}, a stream that is left`] = async () => {
    const leave = new AbortController();
    const long = { ...asking, maxOutputTokens: 1500, abortSignal: leave.signal };
    for await (const _ of streamText({ ...long, onError: () => {} }).textStream) {
      leave.abort();
      break;
    }
    return (await generateText(asking)).text;
  };
}
cases.embeddings = async () => {
  const values = ["The sea.", "A neighbour."];
  const model_ = compatible.textEmbeddingModel(model);
  const { embeddings } = await embedMany({ model: model_, values, maxRetries: 0 });
  return embeddings.map((numbers) => numbers.slice(0, 8).map((number) => number.toFixed(4)));
};

async function unchanged() {
  const found = {};
  for (const [name, ask] of Object.entries(cases)) {
    try {
      found[name] = await ask();
    } catch (error) {
      const { name: raised, statusCode: status = null, message } = error;
      found[name] = raised === "AssertionError" ? { broken: message } : { raised, status, message };
    }
  }
  return found;
}

async function stopped() {
  const found = {};
  for (const [name, model] of Object.entries(models)) {
    const asking = { model, ...fixed, prompt: question };
    const whole = await generateText(asking);
    found[name] = [whole.text, whole.finishReason];
    const stream = streamText({ ...asking, onError: () => {} });
    let text = "";
    try {
      for await (const piece of stream.textStream) text += piece;
      found[`${name}, streamed`] = [text, await stream.finishReason];
    } catch (error) {
      found[`${name}, streamed`] = { raised: error.name, text };
    }
    const forced = { tools: { weather }, toolChoice: "required", stopWhen: isStepCount(1) };
    // It has errors of its own where a call or an object is due, and none comes.
    const raised = async (more) => {
      try {
        const { text, toolCalls, output } = await generateText({ ...asking, ...more });
        return { text, toolCalls, output };
      } catch (error) {
        return error.name;
      }
    };
    found[`call, ${name}`] = await raised(forced);
    found[`object, ${name}`] = await raised({ output: Output.object({ schema: advice }) });
  }
  return found;
}

console.log(JSON.stringify(await { unchanged, stopped }[mode]()));
