// Calls the plugins of a network configuration list as container engines do: with libcni, the library of
// the CNI project.
//
//	libcni COMMAND LIST NETNS CONTAINER CAPABILITIES PATH CACHE
//
// GC and STATUS came with libcni 1.2. They are called here as it calls them, by its package invoke, which
// older ones have, too. GC leaves CONTAINER, or nobody where that is empty.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
)

func each(ctx context.Context, list *libcni.NetworkConfigList, paths []string, command, container string) error {
	valid := []map[string]string{}
	if container != "" {
		valid = append(valid, map[string]string{"containerID": container, "ifname": "eth0"})
	}
	values := map[string]interface{}{"name": list.Name, "cniVersion": "1.1.0"}
	if command == "GC" {
		values["cni.dev/valid-attachments"] = valid
		values["cni.dev/attachments"] = valid
	}
	for _, plugin := range list.Plugins {
		path, err := invoke.FindInPath(plugin.Network.Type, paths)
		if err != nil {
			return err
		}
		config, err := libcni.InjectConf(plugin, values)
		if err != nil {
			return err
		}
		arguments := &invoke.Args{Command: command, Path: strings.Join(paths, ":")}
		if err := invoke.ExecPluginWithoutResult(ctx, path, config.Bytes, arguments, nil); err != nil {
			return err
		}
	}
	return nil
}

func run(arguments []string) error {
	command, file, netns, container := arguments[0], arguments[1], arguments[2], arguments[3]
	list, err := libcni.ConfListFromFile(file)
	if err != nil {
		return err
	}
	capabilities := map[string]interface{}{}
	if err := json.Unmarshal([]byte(arguments[4]), &capabilities); err != nil {
		return err
	}
	config := libcni.NewCNIConfigWithCacheDir(filepath.SplitList(arguments[5]), arguments[6], nil)
	attachment := &libcni.RuntimeConf{
		ContainerID:    container,
		NetNS:          netns,
		IfName:         "eth0",
		CapabilityArgs: capabilities,
	}
	background := context.Background()
	switch command {
	case "VALIDATE":
		_, err = config.ValidateNetworkList(background, list)
	case "ADD":
		result, failure := config.AddNetworkList(background, list, attachment)
		if failure != nil {
			return failure
		}
		return result.PrintTo(os.Stdout)
	case "CHECK":
		err = config.CheckNetworkList(background, list, attachment)
	case "DEL":
		err = config.DelNetworkList(background, list, attachment)
	case "GC", "STATUS":
		err = each(background, list, filepath.SplitList(arguments[5]), command, container)
	default:
		err = fmt.Errorf("no such command: %s", command)
	}
	return err
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		if told, ok := err.(*types.Error); ok {
			fmt.Fprintf(os.Stderr, "code %d: ", told.Code)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
