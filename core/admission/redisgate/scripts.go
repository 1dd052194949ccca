package redisgate

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names a script by its SHA-1
	"embed"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// maxPipeline bounds the calls of one pipeline: all their replies share one read timeout (callTimeout), and a call takes
// up to a millisecond on a real server and several on an embedded one that shares its cores with everything else.
const maxPipeline = 64

// script is one operation: lua/prelude.lua and its own file.
type script struct {
	name   string
	source string
	sha    string
}

// scripts are all operations.
type scripts struct {
	admit, confirm, sweep, mark, loadRows, loadTail, drop, open, join, change, view, holder, sound, names script
}

// loadScripts puts the scripts together from their files.
func loadScripts(read func(name string) string) scripts {
	prelude := read("prelude")
	load := func(name string) script {
		source := prelude + read(name)
		sum := sha1.Sum([]byte(source)) //nolint:gosec // see the import
		return script{name: name, source: source, sha: hex.EncodeToString(sum[:])}
	}
	return scripts{
		admit: load("admit"), confirm: load("confirm"), sweep: load("sweep"), mark: load("mark"),
		loadRows: load("load_rows"), loadTail: load("load_tail"), drop: load("drop"), open: load("open"), join: load("join"),
		change: load("change"), view: load("view"), holder: load("holder"), sound: load("sound"),
		names: load("names"),
	}
}

// luaSource reads an embedded file. They are part of the program, so that a missing one is found by any test.
func luaSource(name string) string {
	source, err := luaFiles.ReadFile("lua/" + name + ".lua")
	if err != nil {
		panic(fmt.Sprintf("redisgate: the program was built without a script: %v", err))
	}
	return string(source)
}

// call is one run of a script.
type call struct {
	script script
	tag    string
	keys   []string
	args   []any
	once   bool // the client never sends it twice (rule 18)

	reply []any // without the leading "ok"
	err   error
}

// once is a command that the client does not send again when its reply is lost.
type once struct{ *redis.Cmd }

// NoRetry tells the client so.
func (once) NoRetry() bool { return true }

// run sends the calls in pipelines and fills in their replies. A server that does not know a script has not run it
// (after SCRIPT FLUSH, a restart, or on another node), so that call goes again with the source.
func (g *Gate) run(ctx context.Context, calls []*call) {
	for start := 0; start < len(calls); start += maxPipeline {
		g.runPipeline(ctx, calls[start:min(start+maxPipeline, len(calls))])
	}
}

func (g *Gate) runPipeline(ctx context.Context, calls []*call) {
	g.send(ctx, calls, "evalsha", func(s script) string { return s.sha })
	var unknown []*call
	for _, c := range calls {
		if c.err != nil && redis.HasErrorPrefix(c.err, "NOSCRIPT") {
			unknown = append(unknown, c)
		}
	}
	if len(unknown) > 0 {
		g.send(ctx, unknown, "eval", func(s script) string { return s.source })
	}
	for _, c := range calls {
		c.settle()
	}
}

func (g *Gate) send(ctx context.Context, calls []*call, command string, name func(script) string) {
	pipe := g.client.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		args := make([]any, 0, 3+len(c.keys)+len(c.args))
		args = append(args, command, name(c.script), len(c.keys))
		for _, key := range c.keys {
			args = append(args, key)
		}
		cmds[i] = redis.NewCmd(ctx, append(args, c.args...)...)
		var cmd redis.Cmder = cmds[i]
		if c.once {
			cmd = once{cmds[i]}
		}
		if err := pipe.Process(ctx, cmd); err != nil {
			cmds[i].SetErr(err)
		}
	}
	_, execErr := pipe.Exec(ctx)
	for i, c := range calls {
		c.reply, c.err = nil, cmds[i].Err()
		if c.err == nil {
			c.reply, c.err = cmds[i].Slice()
		}
		if c.err == nil && len(c.reply) == 0 {
			c.err = errors.Join(errNoReply, execErr)
		}
	}
}

var errNoReply = errors.New("no reply")
